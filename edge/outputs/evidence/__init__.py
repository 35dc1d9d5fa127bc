"""Pictures of frames that matter are kept here, within a quota."""
