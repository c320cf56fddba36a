//! The CustomResourceDefinition as it is applied.

use kube::CustomResourceExt;

use crate::SoakTest;

/// The CRD of SoakTest as YAML, ready for `kubectl apply`.
pub fn crd_yaml() -> Result<String, serde_saphyr::ser::Error> {
    serde_saphyr::to_string(&SoakTest::crd())
}
