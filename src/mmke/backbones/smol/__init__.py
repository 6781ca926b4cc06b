"""The small real models, `smol-llava` and `smol-minigpt4`, with the weights that recipes/smol trained for them."""
