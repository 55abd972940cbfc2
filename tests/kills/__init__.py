"""Kills the bridge, for real and again and again, and looks whether the next pass puts everything right."""
