"""A small synthetic city: streets, facades, light and traffic of several years, seen from a car's roof.

Photos of real cities are heavy and have licences; this city is neither, and yet asks the real question: is this the
same place, years later, in another light? Everything follows from one seed.
"""
