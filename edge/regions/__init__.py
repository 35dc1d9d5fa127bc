"""An anomaly map becomes defect regions and a verdict; everything here is pure."""

from edge.regions.find import find_regions as find_regions
