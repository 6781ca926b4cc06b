"""Records -> what is asked about each edit, and the kinds of question that come with it."""
