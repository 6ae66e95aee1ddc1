"""Secrets that are known by their own form, wherever they stand: a table, one row a service. Pure.

A row is a regular expression of RE2 and the texts of which one must be there for it to match at all
(the beginning that the service itself chose, so that scanners find a leaked one). The forms are those
that the services document and the public rule sets of detect-secrets 1.5 and gitleaks list, copied by
hand: nothing tells when those sets grow.
"""

from __future__ import annotations

_A = "[A-Za-z0-9]"
_B = r"[\w-]"

FORMS: tuple[tuple[str, str], ...] = (
    ("Google access token", r"ya29\.[\w.-]{10,}"),
    ("Google API key", r"AIza[\w-]{20,}"),
    ("Google client secret", r"GOCSPX-[\w-]{10,}"),
    ("Google refresh token", r"1//[\w-]{20,}"),
    ("Google push key", r"AAAA[\w-]{7}:APA91b[\w-]{20,}"),
    ("AWS key id", r"(?:AKIA|ASIA|ABIA|ACCA|A3T[A-Z0-9])[A-Z0-9]{16}"),
    ("AWS Bedrock key", r"(?:ABSK|bedrock-api-key-)[A-Za-z0-9+/=]{20,}"),
    ("Azure storage key", r"[A-Za-z0-9+/]{86}=="),
    ("Azure client secret", r"[\w~.]{3}\dQ~[\w~.-]{31,34}"),
    ("Azure key with its mark", r"[A-Za-z0-9+/]{20,}(?:AzFu|AzSe|ACDb|AzCa|JQQJ99)[\w+/=]{4,}"),
    ("Alibaba key id", rf"LTAI{_A}{{12,30}}"),
    ("Tencent key id", rf"AKID{_A}{{13,40}}"),
    ("Yandex key", r"(?:AQVN[\w-]{20,}|t1\.[\w-]+={0,2}\.[\w-]{20,}={0,2}|YC[\w-]{38})"),
    ("DigitalOcean", r"do[oprs]_v1_[a-f0-9]{20,}"),
    ("Heroku", r"HRKU-[\w-]{20,}"),
    ("Fly.io", r"(?:fo1_[\w-]{20,}|fm[12][ar]?_[\w+/=,-]{20,})"),
    ("Cloudflare", r"v1\.0-[a-f0-9]{24}-[a-f0-9]{20,}"),
    ("Scalingo", rf"tk-us-{_B}{{20,}}"),
    ("Render, Vercel, Netlify", rf"(?:rnd_{_A}{{20,}}|vc[a-z]?_{_A}{{20,}}|vercel_{_A}{{20,}}|nf[pcu]_{_A}{{20,}})"),
    ("Supabase, Neon", rf"(?:sb[pa]_[a-z0-9_]{{20,}}|sb_secret_[\w-]{{20,}}|napi_{_A}{{20,}})"),
    ("PlanetScale", r"pscale_(?:tkn|oauth|pw)_[\w.=-]{20,}"),
    ("Databricks", r"(?:dapi|dkea|doseg|dose)[a-f0-9]{32}(?:-\d)?"),
    ("Snowflake and others' JWT", r"eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?(?:\.[\w-]*)*"),
    ("JSON token in base64", r"eyJ(?:hcGlf|rIjoi|wcm9q|0b2tlb|hbGci)[\w+/=-]{20,}"),
    ("GitHub", r"gh[oprsu]_[A-Za-z0-9_.-]{16,}"),
    ("GitHub fine-grained", r"github_pat_\w{16,}"),
    ("GitLab", r"gl(?:pat|dt|ft|soat|rt|rtr|cbt|imt|ptt|agent|oas|ffct|wt)-[\w.=-]{16,}"),
    ("GitLab runner", r"GR1348941[\w-]{16,}"),
    ("Bitbucket, Atlassian", r"AT(?:ATT|CTT|BB)[A-Za-z0-9_=.-]{20,}"),
    ("CircleCI, Buildkite", r"(?:CCI(?:PAT|PRJ)_[\w-]{20,}|bk(?:ua|aj|oa|pt|ct|st)_[\w-]{20,})"),
    ("Pulumi, Terraform", rf"(?:pul-[a-f0-9]{{20,}}|{_A}{{10,20}}\.atlasv1\.[\w=-]{{20,}})"),
    ("Vault", r"hv[sbr]\.[\w-]{20,}"),
    ("Doppler", rf"dp\.(?:pt|st|ct|sa|scim|audit)\.(?:[\w-]{{2,40}}\.)?{_A}{{20,}}"),
    ("1Password", (r"(?:A3-[A-Z0-9]{6}-(?:[A-Z0-9]{11}|[A-Z0-9]{6}-[A-Z0-9]{5})-[A-Z0-9]{5}-[A-Z0-9]{5}-[A-Z0-9]{5}"
     r"|ops_eyJ[\w+/=-]{20,})")),
    ("age", r"AGE-SECRET-KEY-1[A-Z0-9]{20,}"),
    ("Docker", r"dckr_(?:pat|oat)_[\w-]{16,}"),
    ("npm, PyPI, RubyGems, Clojars, crates", (r"(?:npm_[A-Za-z0-9]{20,}|pypi-[\w-]{20,}|rubygems_[a-f0-9]{20,}"
     r"|(?i:clojars_)[A-Za-z0-9]{20,}|cio[A-Za-z0-9]{32})")),
    ("Artifactory", rf"(?:AKC{_A}{{10,}}|cmVmd{_A}{{20,}}|AP[\dA-F]{_A}{{20,}})"),
    ("Slack", r"xox[a-z](?:\.xox[a-z])?-[\w-]{8,}"),
    ("Slack app", r"xapp-[\w-]{8,}"),
    ("Discord", r"[MNO][\w-]{23,25}\.[\w-]{6}\.[\w-]{27,38}"),
    ("Telegram", r"(?:bot)?\d{8,10}:[\w-]{35}"),
    ("Stripe", r"(?:[rs]k_(?:live|test|prod)_\w{10,}|whsec_[\w+/=]{16,})"),
    ("Square", r"(?:sq0(?:atp|csp|idp)-[\w-]{20,}|EAAA[\w-]{20,})"),
    ("Shopify, Shippo", r"(?:shp(?:at|ca|pa|ss|ua)_[a-fA-F0-9]{20,}|shippo_(?:live|test)_[a-f0-9]{20,})"),
    ("Plaid, Flutterwave, EasyPost", (r"(?:access-(?:sandbox|development|production)-[0-9a-f-]{36}"
     r"|FLWSECK(?:_TEST)?-[\w-]{12,}|EZ[AT]K[a-zA-Z0-9]{20,})")),
    ("Facebook", rf"EAA[MC]{_A}{{20,}}"),
    ("Twilio", r"(?:SK|AC)[0-9a-f]{32}"),
    ("SendGrid", r"SG\.[\w-]{16,}\.[\w-]{16,}"),
    ("Mailgun, Mailchimp, Brevo", r"(?:key-[0-9a-f]{32}|[0-9a-f]{32}-us\d{1,2}|x(?:keysib|smtpsib)-[0-9a-f]{20,}-\w+)"),
    ("Postman, Linear, Notion, Figma", (r"(?:PMAK-[a-f0-9]{20,}-[a-f0-9]{20,}|lin_(?:api|oauth)_[A-Za-z0-9]{20,}"
     r"|ntn_[A-Za-z0-9]{20,}|secret_[A-Za-z0-9]{20,}|fig[doru]{1,2}_[\w-]{20,})")),
    ("Airtable, Contentful, Typeform", r"(?:pat[A-Za-z0-9]{14}\.[a-f0-9]{20,}|CFPAT-[\w-]{20,}|tfp_[\w.=-]{20,})"),
    ("HubSpot, Dropbox", r"(?:pat-(?:na|eu|ap)\d-[0-9a-f-]{36}|sl\.[A-Za-z]?\.?[\w-]{20,})"),
    ("Datadog, New Relic, Dynatrace", (r"(?:NR(?:AK|JS|II|RA|BR)-[\w-]{19,}|[0-9a-f]{36}NRAL|dt0[a-zA-Z]\d{2}\.[A-Z0-9]{24}\.[A-Z0-9]{20,}"
     r"|dd[ap]p?_[A-Za-z0-9]{20,})")),
    ("Grafana", r"(?:glc_[\w+/=-]{20,}|glsa_[\w-]{20,})"),
    ("Sentry, Sourcegraph", r"(?:sntry[su]_[\w+/=-]{20,}|sg[pdw]_[\w-]{20,}|slk_[a-f0-9]{20,})"),
    ("PostHog, Prefect, LaunchDarkly", r"(?:phx_[\w-]{20,}|pn[ub]_[A-Za-z0-9]{20,}|sdk-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"),
    ("OpenShift, Harness, Octopus", r"(?:sha256~[\w-]{43}|[ps]at\.[\w-]{22}\.[0-9a-f]{24}\.[\w-]{20}|API-[A-Z0-9]{25,32})"),
    ("Infracost, Readme, Duffel, Frame.io, Adobe", (r"(?:ico-[A-Za-z0-9]{20,}|rdme_[a-z0-9]{20,}|duffel_(?:test|live)_[\w=-]{20,}"
     r"|fio-u-[\w=-]{20,}|p8e-[A-Za-z0-9]{20,}|dnkey-[\w=-]{20,}|sm_[ap]at_[\w-]{16,})")),
    ("OpenAI, Anthropic, OpenRouter, Langfuse and others", r"sk-[\w-]{16,}"),
    ("Hugging Face", r"(?:hf|api_org)_[A-Za-z0-9]{16,}"),
    ("Groq, xAI, Perplexity, Replicate, NVIDIA", (r"(?:gsk_[A-Za-z0-9]{20,}|xai-[\w-]{20,}|pplx-[A-Za-z0-9]{20,}|r8_[A-Za-z0-9]{20,}"
     r"|nvapi-[\w-]{20,})")),
    ("Tavily, Fireworks, Together, Anyscale, Pinecone", (r"(?:tvly-[\w-]{20,}|fw_[A-Za-z0-9]{20,}|tgp_v1_[\w-]{20,}|esecret_[A-Za-z0-9]{20,}"
     r"|pcsk_\w{20,}|jina_[A-Za-z0-9]{20,}|rpa_[A-Z0-9]{20,}\w*|BSA[\w-]{20,})")),
    ("Weights & Biases, LangSmith, Kaggle, Modal", (r"(?:wandb_v\d+_[\w-]{20,}|lsv2_(?:pt|sk)_[a-f0-9]{20,}[\w-]*|KGAT_[A-Za-z0-9]{20,}"
     r"|a[ks]-[A-Za-z0-9]{20,})")),
    ("ClickHouse", r"4b1d[A-Za-z0-9]{38}"),
    ("Twitter", r"A{10,}[A-Za-z0-9%]{20,}"),
    ("GitLab session", r"_gitlab_session=[0-9a-z]{16,}"),
)  # fmt: skip
"""(service, expression); each is looked for as a whole word."""

HASHES = r"\$(?:1|2[abxy]?|5|6|7|y|gy|apr1|argon2(?:id?|d)|pbkdf2[\w-]*|scrypt)\$[\w./$=,+-]{8,}"
"""A password's digest as crypt(3) writes it."""

BLOCKS = (
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?s:.*?)(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|\z)"
    r"|PuTTY-User-Key-File-\d:(?s:.*?)(?:Private-MAC:[^\n]*|\z)"
    r"|---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----(?s:.*?)(?:---- END SSH2 ENCRYPTED PRIVATE KEY ----|\z)"
)
"""Private keys, to their end or to the text's."""
