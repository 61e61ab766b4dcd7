"""The disk tier: block files, their index, what lies beside them, and which of them go when room is needed."""
