"""Text on the screen: made safe, measured in cells, wrapped; dates in words."""
