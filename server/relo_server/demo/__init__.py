"""The demo shop: a grocery chain's real data, loaded and segmented by `relo demo`."""
