//! What cargo knows about this workspace: where it lies, where it builds, and which crate imports
//! which.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::Failure;

/// The workspace that this command was built in.
pub struct Workspace {
    /// Its directory.
    pub root: PathBuf,
    /// Where cargo builds.
    pub target: PathBuf,
    /// Each crate with the crates of the workspace that its code imports; tests may import more.
    pub imports: BTreeMap<String, BTreeSet<String>>,
}

/// The cargo that started us.
pub fn cargo() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Asks cargo.
pub fn read() -> Result<Workspace, Failure> {
    let output = Command::new(cargo())
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .output()?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        return Err(format!("cargo metadata: {}", error.trim()).into());
    }
    parse(&serde_json::from_slice(&output.stdout)?)
        .ok_or_else(|| "cargo metadata answered in a form that is not known".into())
}

fn parse(metadata: &Value) -> Option<Workspace> {
    let packages = metadata["packages"].as_array()?;
    let names: BTreeSet<&str> = packages.iter().filter_map(|p| p["name"].as_str()).collect();
    let mut imports = BTreeMap::new();
    for package in packages {
        let mut of_package = BTreeSet::new();
        for dependency in package["dependencies"].as_array()? {
            let name = dependency["name"].as_str()?;
            if names.contains(name) && dependency["kind"].as_str() != Some("dev") {
                of_package.insert(name.to_owned());
            }
        }
        imports.insert(package["name"].as_str()?.to_owned(), of_package);
    }
    Some(Workspace {
        root: metadata["workspace_root"].as_str()?.into(),
        target: metadata["target_directory"].as_str()?.into(),
        imports,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_the_code_of_a_crate_imports_is_an_edge() {
        let metadata = json!({
            "workspace_root": "/w",
            "target_directory": "/t",
            "packages": [
                {"name": "low", "dependencies": []},
                {"name": "high", "dependencies": [
                    {"name": "low", "kind": null},
                    {"name": "serde", "kind": null},
                    {"name": "helper", "kind": "dev"},
                ]},
                {"name": "helper", "dependencies": [{"name": "low", "kind": "build"}]},
            ],
        });
        let workspace = parse(&metadata).unwrap();
        let low = BTreeSet::from(["low".to_owned()]);
        assert_eq!(workspace.imports["high"], low);
        assert_eq!(workspace.imports["helper"], low);
        assert_eq!(workspace.imports["low"], BTreeSet::new());
    }
}
