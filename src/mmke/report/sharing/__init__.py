"""`mmke push`: a results folder as a data set on the hub, with a card."""
