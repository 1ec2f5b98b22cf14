"""Online experiments: what each bucket of users did, as uplifts over the control with their intervals."""
