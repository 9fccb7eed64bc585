"""From a method's plan to rows: registry, execution, cells."""
