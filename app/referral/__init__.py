"""The rules of ServiceRequest, Task and CarePlan: pure functions, no I/O."""
