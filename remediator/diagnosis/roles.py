"""The narrowest predefined role that holds a permission, for advice that names what to grant.

A table alone, called by `advice_rule`.
"""

from __future__ import annotations

from collections.abc import Mapping

ROLES: Mapping[str, str] = {
    "storage.objects.get": "roles/storage.objectViewer",
    "storage.objects.list": "roles/storage.objectViewer",
    "storage.objects.create": "roles/storage.objectUser",
    "storage.objects.delete": "roles/storage.objectUser",
    "storage.objects.update": "roles/storage.objectUser",
    "storage.buckets.get": "roles/storage.legacyBucketReader",
    "bigquery.tables.getdata": "roles/bigquery.dataViewer",
    "bigquery.tables.get": "roles/bigquery.dataViewer",
    "bigquery.tables.create": "roles/bigquery.dataEditor",
    "bigquery.tables.updatedata": "roles/bigquery.dataEditor",
    "bigquery.datasets.get": "roles/bigquery.dataViewer",
    "bigquery.jobs.create": "roles/bigquery.jobUser",
    "artifactregistry.repositories.downloadartifacts": "roles/artifactregistry.reader",
    "iam.serviceaccounts.actas": "roles/iam.serviceAccountUser",
    "iam.serviceaccounts.getaccesstoken": "roles/iam.serviceAccountTokenCreator",
    "secretmanager.versions.access": "roles/secretmanager.secretAccessor",
    "logging.logentries.create": "roles/logging.logWriter",
    "pubsub.topics.publish": "roles/pubsub.publisher",
    "cloudkms.cryptokeyversions.usetoencrypt": "roles/cloudkms.cryptoKeyEncrypterDecrypter",
    "cloudkms.cryptokeyversions.usetodecrypt": "roles/cloudkms.cryptoKeyEncrypterDecrypter",
    "compute.networkattachments.get": "roles/compute.networkAdmin",
    "compute.networkattachments.update": "roles/compute.networkAdmin",
    "compute.networks.get": "roles/compute.networkUser",
}
"""By permission in lower case; source: cloud.google.com/iam/docs/understanding-roles."""
