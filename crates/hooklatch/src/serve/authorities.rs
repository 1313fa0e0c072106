//! Certificate authorities of a house's own: they vouch for endpoints inside it, where no public one
//! does.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use hooklatch_egress::SenderSettings;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// Bytes of the file: more than every public authority together takes.
const BYTES_MAX: u64 = 1 << 20;

/// What flags and environment say of them.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct AuthorityArgs {
    /// A file with certificate authorities, PEM, that endpoints' certificates may come from besides the
    /// public ones [default: the public ones only]
    #[arg(long, value_name = "FILE", env = "HOOKLATCH_ENDPOINT_CA")]
    pub endpoint_ca: Option<PathBuf>,
}

/// Why they cannot be trusted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuthorityError {
    #[error("the authorities in {} cannot be read", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error(
        "{} cannot be used: it should be PEM, one or more blocks of BEGIN CERTIFICATE, of at most \
         {} KiB in all",
        path.display(), BYTES_MAX / 1_024
    )]
    Unusable { path: PathBuf },
}

/// The public authorities, and those in the file.
pub(crate) fn trusted(file: Option<&Path>) -> Result<RootCertStore, AuthorityError> {
    let mut sending = SenderSettings::default();
    let Some(path) = file else {
        return Ok(sending.roots);
    };
    let unusable = || AuthorityError::Unusable {
        path: path.to_owned(),
    };
    let pem = read(path).map_err(|source| AuthorityError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    if pem.len() as u64 > BYTES_MAX {
        return Err(unusable());
    }
    let mut many = 0;
    for authority in CertificateDer::pem_slice_iter(&pem) {
        let authority = authority.map_err(|_| unusable())?;
        sending.trust_also(authority).map_err(|_| unusable())?;
        many += 1;
    }
    match many {
        0 => Err(unusable()),
        _ => Ok(sending.roots),
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut pem = Vec::new();
    File::open(path)?
        .take(BYTES_MAX + 1)
        .read_to_end(&mut pem)?;
    Ok(pem)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<RootCertStore, AuthorityError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        std::fs::write(&path, text).unwrap();
        trusted(Some(&path))
    }

    #[test]
    fn authorities_of_the_house_come_beside_the_public_ones() {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["house".to_owned()]).unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let public = trusted(None).unwrap().len();
        assert!(public > 0);
        assert_eq!(of(&pem).unwrap().len(), public + 1);
    }

    #[test]
    fn what_is_no_authority_is_refused_with_what_should_stand_there() {
        let nothing = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let large = " ".repeat(BYTES_MAX as usize + 1);
        for text in ["", "-----BEGIN NOTHING-----", nothing, &large] {
            let error = of(text).unwrap_err().to_string();
            assert!(error.contains("ca.pem cannot be used"), "{error}");
            assert!(error.contains("BEGIN CERTIFICATE"), "{error}");
        }
        let missing = trusted(Some(Path::new("/no/such/file"))).unwrap_err();
        assert!(missing.to_string().contains("/no/such/file"), "{missing}");
    }
}
