"""The test kit, shipped: fakes are product code, typed and documented."""
