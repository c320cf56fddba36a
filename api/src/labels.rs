//! The labels by which everything of a soak is found again.

/// On everything that belongs to a SoakTest; its value is the SoakTest's name.
pub const SOAK_TEST: &str = "soak-operator.io/soaktest";

/// On the pods of a SoakTest; its value is the workload component's name, such as `worker`.
pub const COMPONENT: &str = "soak-operator.io/component";

/// On a pod that chaos must never touch; its value is `true`.
pub const PROTECT: &str = "soak-operator.io/protect";

/// On what a chaos event has changed: an annotation of the Deployment that is scaled or rolled out, and a label of the
/// policy that cuts a pod off, with the event's index; a label of that pod, with the SoakTest's uid before it.
pub const EVENT: &str = "soak-operator.io/event";
