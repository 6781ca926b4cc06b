"""Small pure functions on answers: how one probe's answer scores. They know no model and load no torch."""
