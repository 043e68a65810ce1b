"""What the thing under the cursor means: Markdown for editors and for `relo hover`."""
