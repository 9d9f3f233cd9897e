"""The data half: preparation, masking and tokenization beside other people's tools."""
