"""What a program finds wrong with a record before a person looks: one file for each idea."""
