"""Where the faults of the table are, in its order."""

MODULES = (
    "fault_kills",
    "fault_ray",
    "fault_disks",
    "fault_damage",
    "fault_machines",
    "fault_services",
    "fault_methods",
)
