"""What the law lets people ask: to be forgotten, to see what is known, to correct it, to object."""
