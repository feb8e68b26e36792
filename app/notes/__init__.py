"""What each page says of how its numbers and figures are computed: a file for each page."""
