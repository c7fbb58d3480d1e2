"""Numbers without opinions: windows and histograms."""
