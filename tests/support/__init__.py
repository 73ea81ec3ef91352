"""Helpers of tests and of some benchmarks: clips, fakes, servers, disks, pages, small networks."""
