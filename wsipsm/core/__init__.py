"""What every room stands on: errors, planes and boxes, files, locks, the contract of maps."""
