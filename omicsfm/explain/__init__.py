"""Which features drive a prediction, and whether another training would name the same ones."""
