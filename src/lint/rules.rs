//! The rules, one a file. Each is a function from what it looks at to what it has to say; none knows another.

mod application_set_deletes;
mod argocd_not_pinned;
mod custom_resource_without_definition;
mod default_project;
mod definition_not_protected;
mod definition_too_late;
mod invalid_manifest;
mod large_object;
mod missing_project;
mod missing_source;
mod mutable_image;
mod mutable_revision;
mod namespace_nobody_makes;
mod no_automated_sync;
mod no_prune;
mod no_self_heal;
mod object_twice;
mod project_allows_all;
mod refused;
mod repository_without_credential;
mod retry_gives_up;
mod root;
mod root_not_protected;
mod secret_in_clear;
mod secret_nobody_makes;
mod services_write_argocd;
mod source_not_permitted;
mod stale_rendering;
mod waves_do_not_wait;

use super::Repository;
use super::draft::Draft;
use super::view::Cluster;
use crate::domain::Rule;

/// What a rule looks at.
pub(super) enum Check {
    /// The files of the repository, whichever cluster they are for.
    Repository(for<'a> fn(&Repository<'a>) -> Vec<Draft<'a>>),
    /// One cluster.
    Cluster(for<'a> fn(&Cluster<'a>) -> Vec<Draft<'a>>),
    /// One cluster about which no other rule that concerns booting had anything to say.
    Rest(for<'a> fn(&Cluster<'a>) -> Vec<Draft<'a>>),
    /// The exceptions, once everything else was said: see `lint::exceptions`.
    Exceptions,
}

/// How a rule is checked.
pub(super) fn check(rule: Rule) -> Check {
    match rule {
        Rule::SecretInClear => Check::Repository(secret_in_clear::check),
        Rule::InvalidManifest => Check::Cluster(invalid_manifest::check),
        Rule::Root => Check::Cluster(root::check),
        Rule::MissingProject => Check::Cluster(missing_project::check),
        Rule::MissingSource => Check::Cluster(missing_source::check),
        Rule::SourceNotPermitted => Check::Cluster(source_not_permitted::check),
        Rule::RepositoryWithoutCredential => Check::Cluster(repository_without_credential::check),
        Rule::CustomResourceWithoutDefinition => Check::Cluster(custom_resource_without_definition::check),
        Rule::DefinitionTooLate => Check::Cluster(definition_too_late::check),
        Rule::LargeObject => Check::Cluster(large_object::check),
        Rule::NamespaceNobodyMakes => Check::Cluster(namespace_nobody_makes::check),
        Rule::SecretNobodyMakes => Check::Cluster(secret_nobody_makes::check),
        Rule::ObjectTwice => Check::Cluster(object_twice::check),
        Rule::WavesDoNotWait => Check::Cluster(waves_do_not_wait::check),
        Rule::NoAutomatedSync => Check::Cluster(no_automated_sync::check),
        Rule::RetryGivesUp => Check::Cluster(retry_gives_up::check),
        Rule::NoPrune => Check::Cluster(no_prune::check),
        Rule::NoSelfHeal => Check::Cluster(no_self_heal::check),
        Rule::RootNotProtected => Check::Cluster(root_not_protected::check),
        Rule::DefinitionNotProtected => Check::Cluster(definition_not_protected::check),
        Rule::ApplicationSetDeletes => Check::Cluster(application_set_deletes::check),
        Rule::MutableRevision => Check::Cluster(mutable_revision::check),
        Rule::MutableImage => Check::Cluster(mutable_image::check),
        Rule::DefaultProject => Check::Cluster(default_project::check),
        Rule::ProjectAllowsAll => Check::Cluster(project_allows_all::check),
        Rule::ServicesWriteArgocd => Check::Cluster(services_write_argocd::check),
        Rule::ArgocdNotPinned => Check::Repository(argocd_not_pinned::check),
        Rule::StaleRendering => Check::Repository(stale_rendering::check),
        Rule::Refused => Check::Rest(refused::check),
        Rule::UnusedAllow => Check::Exceptions,
    }
}
