"""The writer `llm`: a language model behind any OpenAI-compatible endpoint puts drafts and plans into words.

settings   [writers.llm] of build.toml
prompts    prompts/*.md, files with a version; a project can have its own
facts      what a model is told of one record
answers    what it must send back, and reading that out of a reply
checks     what its texts must satisfy
replies    every reply, kept in the project
endpoint   the requests
failures   what a failed request means for the user
cost       how much was used, and how much is coming
writer     all of it together
"""
