"""What an answer says: letters, numbers, yes or no, read from a model's text by stated rules."""
