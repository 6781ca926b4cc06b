"""Workers: processes of this machine or of a cluster that do jobs side by side. What a job is they do not know."""
