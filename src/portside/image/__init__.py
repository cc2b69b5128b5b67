"""Container images without a daemon: made layer by layer, checked, pushed.

`build` tells the whole way. Three groups of modules:

    values      oci, reference, platform, place, elf: what images are made of, where things lie
    making      base_image, base_content, requirement, dependency, content, layer, layout, check
    leaving     credential, challenge, transport, registry, publish, export, sbom, explain
"""
