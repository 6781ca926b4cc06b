"""The source `folder`: one's own pictures in folders, and one's own facts in a table."""
