"""What somebody would try on a page of docs/howto: tests that are put into the project which the page has built."""
