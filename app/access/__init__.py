"""Who is calling; turns caller and rules into a plain scope, and a resource into its audience."""
