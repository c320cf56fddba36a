//! Prints the CRDs; `make crds` keeps them in `crds/`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    print!("{}", soak_api::crd_yaml()?);
    Ok(())
}
