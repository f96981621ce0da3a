"""Bytes from outside that nobody thought of: three targets, each with what must hold.

    targets      what is done with the bytes, and what must hold whatever they are
    corpus       small inputs, made up, of each target; `make test` tries them all
    *.dict       words of each target's language, which a fuzzer puts in
    __main__     `make fuzz`: tries others that reach new code, for as long as it is told

What a fuzzer finds becomes a test of its own, beside the code at fault, and a file of the corpus.
"""
