"""Values with intervals, resampling, and results saved as JSON."""
