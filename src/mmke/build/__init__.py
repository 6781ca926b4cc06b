"""The pipeline that makes a benchmark: from things and pictures to verified records in the published format.

A *project* is a folder with `build.toml` and one append-only log for each stage. In the order of the stages:

    collect   sources          -> things.jsonl, pictures.jsonl, pictures/
    write     things           -> edits.jsonl      what is changed, and the descriptions
    ask       edits            -> questions.jsonl  questions with their gold answers, pictures side by side
    check     all of these     -> findings         what a rule says against a record
    verify    all of these     -> verdicts.jsonl   what people decide, in the browser
    export    accepted records -> a folder that `mmke run --data` reads

What a newcomer finds where:

    run        the stages one after the other; `mmke build` (mmke.cli.build) calls this and the stages
    content    what the lines of the logs hold; `record` and `records` put them together into whole records
    project    an open project: `settings` (build.toml), `words` (how relations and types are put into words), the logs
    log        reading and appending a stage's lines; `draws`: random draws that depend on names alone
    protocols  what a source, a writer and a rule must do; other packages add theirs through entry points
    wording    comparing texts (does one say the other?); `consistency`: years in order, numbers in range
    sources/   where things and pictures come from: mini (in the package), folder, wikidata
    collect/   which of them are used: licences, sizes, near-duplicates
    write/     what each record edits: who exchanges pictures (groups), which facts are altered (changes)
    ask/       what each record is asked: `plans`, and the unrelated questions and pictures that it is assigned
    writers/   putting edits and questions into words: templates, llm
    rules/     what a program finds wrong with a record; tags/: what an unedited model knows of it
    verdicts/  what people decide, and the figures of it; the page itself is mmke.web.verify
    export/    the published format, splits, card, origins of the pictures
"""
