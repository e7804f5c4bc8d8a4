"""Music as tokens: pieces on a grid of steps, the vocabulary and its grammar, MIDI files in and out."""
