"""Weights of the full-size models as their users have them: where they lie, in which layouts, and how to get them.

One file a model (`llava`, `minigpt4`, `blip2`; what the last two share: `lavis`) says which layouts there are; its
`locate` returns a `checkpoint.Checkpoint`, which fills a module. `fetch` downloads.
"""
