"""X's and O's, drawn by formula."""
