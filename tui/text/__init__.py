"""Text on the screen: made safe, measured in cells, wrapped; quantities in words."""
