"""What people decide of the records: whose turn it is, what stands, and the report of it."""
