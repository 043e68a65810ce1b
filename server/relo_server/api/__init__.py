"""The service over HTTP: a house of stores, who calls, what they may see, and routes on top."""
