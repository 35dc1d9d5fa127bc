"""What forbids a comparison of two sets: shared parts, cleaned pictures, kinds that one lacks, labels that drifted."""
