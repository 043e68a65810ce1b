"""The history of published audiences: their versions, who was in each, and how one is published."""
