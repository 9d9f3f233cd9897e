# Raw text to cleaned documents.


rule make_small_world:
    input:
        due=DUE("small_world", section(SETTINGS, "small_world", "seed")),
    output:
        files=directory("<results>/small_world"),
        manifest="<results>/small_world/manifest.json",
    log:
        "<results>/logs/make_small_world.log",
    benchmark:
        "<results>/benchmarks/make_small_world/all.tsv"
    conda:
        "../envs/data.yaml"
    threads: 4
    resources:
        mem_mb=2000,
        attempt=jobs.attempt,
        runtime="4h",
    params:
        settings=section(SETTINGS, "small_world", "seed"),
    message:
        "Writing the small world: documents, planted dirt and task sets"
    shell:
        "python -m scripts.make_small_world --settings {params.settings:q}"
        " --out {output.files:q} --log {log:q} --attempt {resources.attempt} --threads {threads}"


rule fetch_source:
    input:
        due=DUE("downloads/{source}", INPUTS.sources.download_manifest_settings),
    output:
        files=directory("<results>/downloads/{source}"),
        manifest="<results>/downloads/{source}/manifest.json",
    log:
        "<results>/logs/fetch_source/{source}.log",
    benchmark:
        "<results>/benchmarks/fetch_source/{source}.tsv"
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        attempt=jobs.attempt,
        runtime="1d",
    params:
        settings=INPUTS.sources.download_settings,
    message:
        "Fetching the source {wildcards.source}"
    shell:
        "python -m scripts.fetch_source --settings {params.settings:q}"
        " --out {output.files:q} --log {log:q} --attempt {resources.attempt} --threads {threads}"


rule list_sources:
    input:
        world=INPUTS.sources.world,
        downloads=INPUTS.sources.downloads,
        download_manifests=INPUTS.sources.download_manifests,
        files=INPUTS.sources.files,
        due=DUE(
            "sources",
            INPUTS.sources.manifest_settings,
            INPUTS.sources.world,
            INPUTS.sources.download_manifests,
        ),
    output:
        files=directory("<results>/sources"),
        manifest="<results>/sources/manifest.json",
    log:
        "<results>/logs/list_sources.log",
    benchmark:
        "<results>/benchmarks/list_sources/all.tsv"
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        attempt=jobs.attempt,
        runtime="4h",
    params:
        settings=section(SETTINGS, "sources"),
    message:
        "Listing the sources with size and digest"
    shell:
        "python -m scripts.list_sources --settings {params.settings:q}"
        " --world {input.world:q} --downloads {input.downloads:q}"
        " --out {output.files:q} --log {log:q} --attempt {resources.attempt} --threads {threads}"


rule clean_corpus:
    input:
        sources=INPUTS.sources.list,
        texts=INPUTS.sources.texts,
        test_world=INPUTS.corpus.test_world,
        test_files=INPUTS.corpus.test_files,
        against=INPUTS.corpus.against,
        due=DUE(
            "corpus",
            INPUTS.corpus.manifest_settings,
            INPUTS.sources.list,
            INPUTS.corpus.test_world,
            INPUTS.corpus.against_manifests,
        ),
    output:
        files=directory("<results>/corpus"),
        manifest="<results>/corpus/manifest.json",
        funnel="<results>/corpus/funnel.json",
    log:
        "<results>/logs/clean_corpus.log",
    benchmark:
        "<results>/benchmarks/clean_corpus/all.tsv"
    conda:
        "../envs/data.yaml"
    threads: 4
    resources:
        mem_mb=4000,
        beam=BEAM,
        attempt=jobs.attempt,
        runtime="2d",
    params:
        settings=section(SETTINGS, "corpus"),
    message:
        "Cleaning and deduplicating the corpus"
    shell:
        "python -m scripts.clean_corpus --settings {params.settings:q} --sources {input.sources[0]:q}"
        " --test-world {input.test_world:q}"
        " --out {output.files:q} --log {log:q} --attempt {resources.attempt} --threads {threads}"
        " --beam {resources.beam:q}"
