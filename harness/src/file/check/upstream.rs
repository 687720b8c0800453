//! Where users met a mistake: issues of the projects that wrote or read the file. Reports, most of
//! them still open; what they say is theirs.

use super::Lint;

/// The issues about a lint, as `owner/repository#number`, in the order they were opened; none where
/// no report is known.
pub fn issues(lint: Lint) -> &'static [&'static str] {
    match lint {
        Lint::PreTokenizerMissing | Lint::PreTokenizerDefault => {
            &["microsoft/BitNet#216", "microsoft/BitNet#508"]
        }
        Lint::PreTokenizerSuspect => &["microsoft/BitNet#268", "microsoft/BitNet#622"],
        Lint::ActivationSuspect | Lint::BuildGraphDiffers => &[
            "microsoft/BitNet#588",
            "microsoft/BitNet#602",
            "microsoft/BitNet#604",
            "microsoft/BitNet#605",
            "ggml-org/llama.cpp#25885",
        ],
        Lint::TypeIdContested => &[
            "microsoft/BitNet#471",
            "ggml-org/llama.cpp#12997",
            "ggml-org/llama.cpp#17105",
        ],
        Lint::LookupTableShape => &[
            "microsoft/BitNet#116",
            "microsoft/BitNet#230",
            "microsoft/BitNet#239",
            "microsoft/BitNet#550",
            "microsoft/BitNet#631",
        ],
        Lint::ScaleInverted => &["microsoft/BitNet#616"],
        Lint::ZeroRun | Lint::TensorZero | Lint::NotTheRelease | Lint::ManifestMismatch => {
            &["microsoft/BitNet#608"]
        }
        Lint::BuildWithoutVectors => &[
            "microsoft/BitNet#68",
            "microsoft/BitNet#71",
            "microsoft/BitNet#195",
            "microsoft/BitNet#547",
            "microsoft/BitNet#580",
        ],
        Lint::BuildKernelDiffers => &[
            "microsoft/BitNet#411",
            "microsoft/BitNet#459",
            "microsoft/BitNet#585",
            "microsoft/BitNet#629",
        ],
        Lint::BuildSpeedOdd => &["ikawrakow/ik_llama.cpp#345"],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_issue_is_an_address_and_stands_in_order() {
        for &lint in Lint::ALL {
            let numbers = issues(lint).iter().map(|issue| {
                let (repository, number) = issue.split_once('#').expect("a number");
                assert_eq!(repository.split('/').count(), 2, "{issue}");
                (
                    repository != "microsoft/BitNet",
                    number.parse::<u32>().expect("a number"),
                )
            });
            assert!(numbers.is_sorted(), "{}", lint.name());
        }
        assert!(issues(Lint::ZeroRun).contains(&"microsoft/BitNet#608"));
    }
}
