"""Music from a trained model, without torch: pieces that go on from a prime, and how probable pieces are."""
